import type { Row } from './lib/row.ts'
import { largeHttp } from './rows/large-http.ts'
import { noToken } from './rows/no-token.ts'
import { origins } from './rows/origins.ts'
import { others } from './rows/others.ts'
import { privilegedKeys } from './rows/privileged-keys.ts'
import { shellCharacters } from './rows/shell-characters.ts'
import { slowHttp } from './rows/slow-http.ts'
import { textPlain } from './rows/text-plain.ts'
import { wsClose } from './rows/ws-close.ts'
import { wsControl } from './rows/ws-control.ts'
import { wsFragments } from './rows/ws-fragments.ts'
import { wsFraming } from './rows/ws-framing.ts'
import { wsHandshake } from './rows/ws-handshake.ts'
import { wsLimits } from './rows/ws-limits.ts'
import { wsReserved } from './rows/ws-reserved.ts'
import { wsUtf8 } from './rows/ws-utf8.ts'

/** The table, in the order of the list of inputs. */
export const rows: readonly Row[] = [
  noToken,
  origins,
  textPlain,
  shellCharacters,
  others,
  privilegedKeys,
  largeHttp,
  slowHttp,
  wsHandshake,
  wsFraming,
  wsControl,
  wsReserved,
  wsFragments,
  wsUtf8,
  wsClose,
  wsLimits,
]
