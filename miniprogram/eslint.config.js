'use strict'
const tseslint = require('typescript-eslint')

module.exports = tseslint.config(
  { ignores: ['dist/', 'node_modules/'] },
  ...tseslint.configs.recommended,
  {
    files: ['src/**/*.ts'],
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: __dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: false }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      // One file speaks to WeChat; the rest stays plain and can be tested anywhere.
      'no-restricted-globals': [
        'error',
        'wx',
        'getApp',
        'getCurrentPages',
        'setTimeout',
        'setInterval',
        'URL',
        'URLSearchParams',
        'fetch',
        'window',
        'document',
        'Buffer',
        'TextEncoder',
        'TextDecoder',
      ],
    },
  },
  {
    files: ['src/lib/wechat.ts', 'src/lib/page.ts', 'src/components/**/*.ts'],
    rules: {
      'no-restricted-globals': [
        'error',
        'setInterval',
        'URL',
        'URLSearchParams',
        'fetch',
        'window',
        'document',
        'Buffer',
        'TextEncoder',
        'TextDecoder',
      ],
    },
  },
  { files: ['test/**/*.ts'], rules: { '@typescript-eslint/no-explicit-any': 'off', '@typescript-eslint/no-this-alias': 'off' } },
  { files: ['**/*.js'], rules: { '@typescript-eslint/no-require-imports': 'off' } },
)
