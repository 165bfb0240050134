import { byteUnits, parseAmount, type AmountKinds } from '@aicm/protocol'
import { usageError } from './cli-error.ts'

/** Null: no limit. Left out: as for everybody. */
export type Amounts<Name extends string> = { [N in Name]?: number | null }

/** `was`, with what is said here in `--limit`'s own words: `memory=4g`, `cpus=1.5`, `pids=off`; `default` leaves one out. */
export const changeAmounts = <Name extends string>(
  kinds: AmountKinds<Name>,
  was: Amounts<Name>,
  said: string[],
): Amounts<Name> => {
  const { names, inBytes } = kinds
  const amounts = { ...was }
  for (const text of said) {
    const left = names.find((name) => text === `${name}=default`)
    const set = parseAmount(text, kinds)
    if (left !== undefined) delete amounts[left]
    else if (set !== undefined) amounts[set.name] = set.amount
    else
      throw usageError(
        `"${text}" sets nothing.`,
        `It looks like ${names[0]}=10, ${names[0]}=off (no limit) or ${names[0]}=default (as for everybody). ` +
          `There are: ${names.join(', ')}; ${inBytes.join(', ')} with k, m, g or t.`,
      )
  }
  return amounts
}

/** To one place behind the point: `1.5g`. */
export const bytesText = (bytes: number): string => {
  const unit = (['t', 'g', 'm', 'k'] as const).find((one) => bytes >= byteUnits[one]) ?? ''
  return `${Math.round((bytes / byteUnits[unit]) * 10) / 10}${unit}`
}

/** As `changeAmounts` reads it. */
export const amountText = <Name extends string>(
  { inBytes }: AmountKinds<Name>,
  name: Name,
  amount: number | null,
): string => {
  if (amount === null) return 'off'
  return inBytes.includes(name) ? bytesText(amount) : `${amount}`
}
