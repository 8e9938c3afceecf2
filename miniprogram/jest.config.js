'use strict'
const ts = { '^.+\\.ts$': ['ts-jest', { tsconfig: 'tsconfig.test.json', diagnostics: false }] }
module.exports = {
  projects: [
    { displayName: 'unit', testEnvironment: 'node', testMatch: ['<rootDir>/test/unit/*.test.ts'], transform: ts },
    { displayName: 'render', testEnvironment: 'jsdom', testMatch: ['<rootDir>/test/render/*.test.ts'], transform: ts },
    {
      displayName: 'e2e',
      testEnvironment: 'node',
      testMatch: ['<rootDir>/test/e2e/*.test.ts'],
      transform: ts,
      globalSetup: '<rootDir>/test/binary.js',
      globalTeardown: '<rootDir>/test/unbinary.js',
    },
  ],
  maxWorkers: 2,
  testTimeout: 60_000,
}
