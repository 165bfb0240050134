import { isIPv4, isIPv6 } from 'node:net'

/** Of an IPv6 address that stands for an IPv4 one, that one. */
const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i

/** An address in the form in which it is counted and logged. */
export const plainAddress = (address: string): string => mapped.exec(address)?.[1] ?? address

/** The first four groups of an IPv6 address. */
const prefixOf = (address: string): string => {
  const [head = '', tail] = (address.split('%', 1)[0] ?? '').toLowerCase().split('::')
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'))
  const left = groups(head)
  const right = tail === undefined ? [] : groups(tail)
  // An IPv4 address at the end takes the room of two groups.
  const length = left.length + right.length + (right.at(-1)?.includes('.') === true ? 1 : 0)
  const all = tail === undefined ? left : [...left, ...Array.from({ length: 8 - length }, () => '0'), ...right]
  return all
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')
}

/** Who an address counts as: an IPv6 address as its /64, which is one customer's, an IPv4 address as itself. */
export const sourceOf = (address: string): string =>
  address.includes(':') && isIPv6(address) ? `${prefixOf(address)}::/64` : address

/** The same for who guesses passwords: somebody may have a few IPv4 addresses side by side. */
export const networkOf = (address: string): string =>
  isIPv4(address) ? `${address.slice(0, address.lastIndexOf('.'))}.0/24` : sourceOf(address)
