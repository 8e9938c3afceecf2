// Words of the page about oneself.
export default {
  en: {
    'me.title': 'Me', 'me.account': 'Account', 'me.name': 'Name', 'me.role': 'Role', 'me.venues': 'Venues', 'me.all_venues': 'All', 'me.operator': 'Operator', 'me.version': 'Server version',
    'me.look': 'This browser', 'me.look_hint': 'Kept in this browser alone.', 'me.language': 'Language', 'me.theme': 'Theme', 'me.theme_auto': 'System', 'me.theme_light': 'Light', 'me.theme_dark': 'Dark',
    'me.density': 'Rows', 'me.density_dense': 'Dense', 'me.density_roomy': 'Roomy', 'me.keys': 'Keyboard',
    'me.password': 'Password', 'me.old': 'Present password', 'me.new': 'New password', 'me.again': 'New password again', 'me.new_hint': 'At least 12 characters; a sentence is fine. Your other logins end.',
    'me.differ': 'The two are not the same.', 'me.short': '{n} more characters.', 'me.change': 'Change the password', 'me.changed': 'The password is changed; other logins have ended', 'me.no_password': 'You have no password yet. An admin can send you an invite link that sets one.',
    'me.passkeys': 'Passkeys', 'me.passkeys_text': 'Sign in with this device or a security key, without a password.', 'me.no_passkeys': 'No passkey yet', 'me.add_passkey': 'Add a passkey', 'me.label': 'Name of the passkey', 'me.label_hint': 'Such as “Laptop at the depot”.',
    'me.passkey_added': 'Passkey added', 'me.passkey_refused': 'The browser made no passkey', 'me.passkey_refused_text': 'It was cancelled, took too long, or this address is not one that passkeys work on. They need https, or localhost.', 'me.passkeys_unsupported': 'This browser offers no passkeys here. They need https, or localhost.',
    'me.remove': 'Remove', 'me.remove_passkey': 'Remove the passkey', 'me.remove_passkey_text': '“{label}” signs nobody in any more.', 'me.added': 'Added', 'me.used': 'Last used', 'me.never': 'Never',
    'me.logins': 'My logins', 'me.where': 'Where', 'me.how': 'How', 'me.since': 'Since', 'me.seen': 'Last seen', 'me.how_password': 'Password', 'me.how_passkey': 'Passkey', 'me.end': 'End', 'me.end_login': 'End this login',
    'me.end_login_text': 'Whoever uses it has to sign in again.', 'me.ended': 'The login has ended', 'me.end_all': 'End all others', 'me.end_all_text': 'Every login of yours but this one ends.', 'me.all_ended': '{n} logins have ended', 'me.no_logins': 'No login but an API key',
    'me.browser': '{browser} on {system}', 'me.this': 'This one', 'problem.password_wrong': 'The present password is another one', 'problem.password_weak': 'This password is too weak', 'problem.passkey_refused': 'The passkey was refused', 'problem.passkeys_elsewhere': 'Passkeys work at another address of this server', 'problem.login_needed': 'Sign in with a browser for this', 'me.with_key': 'You are here with an API key. Password, passkeys and logins belong to browsers that sign in.',
  },
  'zh-CN': {
    'me.title': '我的', 'me.account': '账户', 'me.name': '姓名', 'me.role': '角色', 'me.venues': '场地', 'me.all_venues': '全部', 'me.operator': '运营方', 'me.version': '服务器版本',
    'me.look': '此浏览器', 'me.look_hint': '只保存在此浏览器中。', 'me.language': '语言', 'me.theme': '主题', 'me.theme_auto': '跟随系统', 'me.theme_light': '浅色', 'me.theme_dark': '深色',
    'me.density': '行距', 'me.density_dense': '紧凑', 'me.density_roomy': '宽松', 'me.keys': '键盘',
    'me.password': '密码', 'me.old': '当前密码', 'me.new': '新密码', 'me.again': '再输一次新密码', 'me.new_hint': '至少 12 个字符，可以是一句话。您的其他登录会结束。',
    'me.differ': '两次输入不一致。', 'me.short': '还差 {n} 个字符。', 'me.change': '修改密码', 'me.changed': '密码已修改，其他登录已结束', 'me.no_password': '您还没有密码。管理员可以发给您设置密码的邀请链接。',
    'me.passkeys': '通行密钥', 'me.passkeys_text': '用本设备或安全密钥登录，无需密码。', 'me.no_passkeys': '还没有通行密钥', 'me.add_passkey': '添加通行密钥', 'me.label': '通行密钥名称', 'me.label_hint': '例如“车库的笔记本”。',
    'me.passkey_added': '已添加通行密钥', 'me.passkey_refused': '浏览器没有创建通行密钥', 'me.passkey_refused_text': '已取消、超时，或此地址不能使用通行密钥。需要 https 或 localhost。', 'me.passkeys_unsupported': '此浏览器在这里不提供通行密钥。需要 https 或 localhost。',
    'me.remove': '移除', 'me.remove_passkey': '移除通行密钥', 'me.remove_passkey_text': '“{label}”将不能再用于登录。', 'me.added': '添加于', 'me.used': '最近使用', 'me.never': '从未',
    'me.logins': '我的登录', 'me.where': '位置', 'me.how': '方式', 'me.since': '登录于', 'me.seen': '最近活动', 'me.how_password': '密码', 'me.how_passkey': '通行密钥', 'me.end': '结束', 'me.end_login': '结束此登录',
    'me.end_login_text': '使用它的人需要重新登录。', 'me.ended': '登录已结束', 'me.end_all': '结束其他所有登录', 'me.end_all_text': '除本次外，您的所有登录都会结束。', 'me.all_ended': '已结束 {n} 个登录', 'me.no_logins': '除 API 密钥外没有登录',
    'me.browser': '{system} 上的 {browser}', 'me.this': '当前', 'problem.password_wrong': '当前密码不对', 'problem.password_weak': '密码太弱', 'problem.passkey_refused': '通行密钥被拒绝', 'problem.passkeys_elsewhere': '通行密钥须在服务器的另一个地址使用', 'problem.login_needed': '请用浏览器登录后再操作', 'me.with_key': '您正在使用 API 密钥。密码、通行密钥和登录属于登录的浏览器。',
  },
}
