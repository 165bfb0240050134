/** Shown in the status, so that a newer server can tell an older broker to stop. */
export const brokerVersion = '0.1.0'
