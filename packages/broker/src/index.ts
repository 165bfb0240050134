/** The program that the server starts, detached: `node <brokerMain> --dir DIR`. */
export const brokerMain = new URL('./main.ts', import.meta.url)

export { openBroker, type Broker, type BrokerOptions } from './broker.ts'
export { brokerControl, type BrokerControl } from './client.ts'
export type { BrokerConfig, BrokerStatus, Credential, CredentialKind } from './config.ts'
export type { UpstreamCheck } from './upstream-check.ts'
export { socketPaths, type SocketPaths } from './paths.ts'
export { mintSessionToken, tokenKey, verifySessionToken, type SessionIdentity } from './token.ts'
export { brokerVersion } from './version.ts'
export { scriptedApi, type Call, type ScriptedApi, type ScriptedApiOptions } from './demo/scripted-api.ts'
export { tokensText } from './demo/directives.ts'
