import { optionTable, type OptionSpec } from './options.ts'

const flagOf = ({ flag, toggle, value }: OptionSpec): string => (toggle ? `${flag}` : `${flag} ${value}`)

const rows = (): { names: string; spec: OptionSpec }[] =>
  Object.values(optionTable).map((spec: OptionSpec) => ({
    names: spec.flag === undefined ? spec.env : `${flagOf(spec)}, ${spec.env}`,
    spec,
  }))

const sentence = (spec: OptionSpec): string =>
  `${spec.doc}${spec.default === undefined ? '' : ` Default: ${spec.default}.`}`

/** The text of --help. */
export const helpText = (): string =>
  [
    'Starts the AICode Manager server.',
    '',
    'Usage: npm start -- [options]      (in the repository)',
    '       aicm up [options]           (installed)',
    '',
    'Options, each with its environment variable (a flag wins):',
    ...rows().map(({ names, spec }) => `  ${names}\n      ${sentence(spec)}`),
    '  --help\n      This text.',
    '  --version\n      The version.',
    '',
  ].join('\n')

/** The same as a Markdown table, for the README. */
export const optionsMarkdown = (): string =>
  [
    '| flag | environment | default | what it does |',
    '|---|---|---|---|',
    ...rows().map(
      ({ spec }) =>
        `| ${spec.flag === undefined ? '–' : `\`${flagOf(spec).replaceAll('|', '\\|')}\``} | \`${spec.env}\` | ${spec.default ?? '–'} | ${spec.doc} |`,
    ),
  ].join('\n')
