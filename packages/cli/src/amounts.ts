import { usageError } from './cli-error.ts'

const units = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 } as const
const isUnit = (text: string): text is keyof typeof units => Object.hasOwn(units, text)

/** Some named amounts, those of `inBytes` with k, m, g or t. */
export type Kinds<Name extends string> = { names: readonly Name[]; inBytes: readonly Name[] }
/** Null: no limit. Left out: as for everybody. */
export type Amounts<Name extends string> = { [N in Name]?: number | null }

/** `was`, with what is said here in `--limit`'s own words: `memory=4g`, `cpus=1.5`, `pids=off`; `default` leaves one out. */
export const changeAmounts = <Name extends string>(
  { names, inBytes }: Kinds<Name>,
  was: Amounts<Name>,
  said: string[],
): Amounts<Name> => {
  const amounts = { ...was }
  for (const text of said) {
    const [, word, amount = '', letter = ''] = /^(\w+)=(off|default|\d+(?:\.\d+)?)([kmgt]?)$/i.exec(text) ?? []
    const unit = letter.toLowerCase()
    const name = names.find((one) => one === word)
    if (name === undefined || !isUnit(unit) || (unit !== '' && !(inBytes.includes(name) && /^\d/.test(amount))))
      throw usageError(
        `"${text}" sets nothing.`,
        `It looks like ${names[0]}=10, ${names[0]}=off (no limit) or ${names[0]}=default (as for everybody). ` +
          `There are: ${names.join(', ')}; ${inBytes.join(', ')} with k, m, g or t.`,
      )
    if (amount === 'default') delete amounts[name]
    else amounts[name] = amount === 'off' ? null : Number(amount) * units[unit]
  }
  return amounts
}

/** To one place behind the point: `1.5g`. */
export const bytesText = (bytes: number): string => {
  const unit = (['t', 'g', 'm', 'k'] as const).find((one) => bytes >= units[one]) ?? ''
  return `${Math.round((bytes / units[unit]) * 10) / 10}${unit}`
}

/** As `changeAmounts` reads it. */
export const amountText = <Name extends string>(
  { inBytes }: Kinds<Name>,
  name: Name,
  amount: number | null,
): string => {
  if (amount === null) return 'off'
  return inBytes.includes(name) ? bytesText(amount) : `${amount}`
}
