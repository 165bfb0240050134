/** What a real store would give back: another object, without what JSON cannot hold. */
export const copy = <T>(value: T): T => JSON.parse(JSON.stringify(value))
