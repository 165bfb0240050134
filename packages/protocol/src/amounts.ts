/** Some named amounts, those of `inBytes` with k, m, g or t. */
export type AmountKinds<Name extends string> = { names: readonly Name[]; inBytes: readonly Name[] }

/** Bytes. */
export const byteUnits = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 } as const
const isUnit = (text: string): text is keyof typeof byteUnits => Object.hasOwn(byteUnits, text)

/** `200m`, in bytes; undefined where it is none. */
export const parseBytes = (text: string): number | undefined => {
  const [, amount, letter = ''] = /^(\d+(?:\.\d+)?)([kmgt]?)$/i.exec(text) ?? []
  const unit = letter.toLowerCase()
  return amount === undefined || !isUnit(unit) ? undefined : Number(amount) * byteUnits[unit]
}

/** `memory=4g`, `cpus=1.5`, or `pids=off`, which is null. Undefined where it is none of them. */
export const parseAmount = <Name extends string>(
  text: string,
  { names, inBytes }: AmountKinds<Name>,
): { name: Name; amount: number | null } | undefined => {
  const [, word, said = ''] = /^(\w+)=(.+)$/.exec(text) ?? []
  const name = names.find((one) => one === word)
  if (name === undefined) return undefined
  if (said.toLowerCase() === 'off') return { name, amount: null }
  const amount = inBytes.includes(name) || /\d$/.test(said) ? parseBytes(said) : undefined
  return amount === undefined ? undefined : { name, amount }
}
