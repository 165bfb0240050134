/** Shown in the status: a server stops a broker of another version, and starts its own. */
export const brokerVersion = '0.4.0'
