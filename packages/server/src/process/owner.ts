/** A user of the operating system as whom a program runs, and who owns what it makes. */
export type Owner = { uid: number; gid: number }
