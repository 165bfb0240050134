/** Says what is wrong with the settings, and how it should look. */
export class ConfigError extends Error {}
