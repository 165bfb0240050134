/** The program that the server starts, detached: `node <brokerMain> --dir DIR`. */
export const brokerMain = new URL('./main.ts', import.meta.url)

export { openBroker, type Broker, type BrokerOptions } from './broker.ts'
export { brokerControl, type BrokerControl } from './client.ts'
export type { BrokerConfig, Credential, CredentialKind, Secret } from './config.ts'
export { openRenewed } from './renewed.ts'
export { createSecretBox, deriveKey, type SecretBox } from './secret-box.ts'
export type { BrokerStatus, CredentialStatus } from './status.ts'
export { readExceeded, type Budget, type Budgets, type PeriodBudgets } from './usage/budgets.ts'
export type { UsageEntry } from './usage/entry.ts'
export { parsePrices, type PriceTable } from './usage/prices.ts'
export { endOf, periods, sumKeys, type Period } from './usage/sums.ts'
export type { UpstreamCheck } from './upstream-check.ts'
export { socketPaths, type SocketPaths } from './paths.ts'
export { mintSessionToken, tokenKey, verifySessionToken, type SessionIdentity } from './token.ts'
export { brokerVersion } from './version.ts'
export { scriptedApi, type Call, type ScriptedApi, type ScriptedApiOptions } from './demo/scripted-api.ts'
export { tokensText } from './demo/directives.ts'
