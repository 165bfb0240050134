/** Raised when a client of the previous number could no longer understand the server. */
export const protocolVersion = 1
