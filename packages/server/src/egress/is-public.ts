import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

/** All of IPv6 that is given out; what stands for IPv4 addresses lies outside of it, or is a range of its own. */
const givenOut = ipaddr.IPv6.parseCIDR('2000::/3')

/** Whether an address is one of the public network: of none of the ranges that IANA keeps for something else. */
export const isPublic = (address: string): boolean => {
  if (isIP(address) === 0) return false
  const parsed = ipaddr.parse(address)
  return parsed.range() === 'unicast' && (parsed instanceof ipaddr.IPv4 || parsed.match(givenOut))
}
