import { InvalidArgumentError } from 'commander'

const atLeast = (least: number, what: string) => (text: string) => {
  const number = Number(text)
  if (!Number.isSafeInteger(number) || number < least) throw new InvalidArgumentError(`It must be ${what}.`)
  return number
}

/** What an option is read with. */
export const wholeNumber = atLeast(0, 'a whole number')
export const positive = atLeast(1, 'a whole number above 0')
