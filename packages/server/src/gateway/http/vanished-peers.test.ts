import { expect, test } from 'vitest'
import { peerName, resentIn } from './vanished-peers.ts'

// Rows as a kernel printed them.
const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100630A:097A 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 43119 1 0000000000000000 100 0 0 10 0
   1: 0100630A:097A 0200630A:8906 01 0000006D:00000000 01:00000043 00000006     0        0 43120 1 0000000000000000 100 0 0 10 0
   2: 0100630A:097A 0200630A:8916 01 00000000:00000000 02:00000043 00000000     0        0 43121 1 0000000000000000 100 0 0 10 0
  10: 0100630A:097A 0200630A:8926 01 0000006D:00000000 04:00000043 00000000     0        3 43122 1 0000000000000000 100 0 0 10 0
`
const table6 = `   3: 0000000000000000FFFF00000100630A:097A 0000000000000000FFFF00000200630A:8936 01 0000006D:00000000 01:00000043 0000000A     0 0 1
   4: B80D0120000000000000000001000000:01BB B80D0120000000000000000002000000:8946 01 0000006D:00000000 01:00000043 00000001     0 0 1
`

test('of the rows those are found whose data is sent again: not who answers, and not who takes nothing more', () => {
  expect(resentIn(table)).toEqual([peerName(2426, { address: '10.99.0.2', port: 0x8906 })])
  expect(resentIn('')).toEqual([])
})

test('IPv6 peers are named as the kernel names them, and IPv4 ones on a socket of IPv6', () => {
  expect(resentIn(table6)).toEqual([
    peerName(2426, { address: '::ffff:10.99.0.2', port: 0x8936 }),
    peerName(443, { address: '2001:db8::2', port: 0x8946 }),
  ])
})
