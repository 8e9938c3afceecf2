import { page } from '../../lib/page'
import { WalletScreen } from '../../screens/wallet'

page((app, show) => new WalletScreen(app, show))
