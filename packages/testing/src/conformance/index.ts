export { databaseConformance } from './database.ts'
export { keyValueConformance } from './key-value.ts'
export * from './records.ts'
