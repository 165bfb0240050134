import type { Row } from './lib/row.ts'
import { approvals } from './rows/approvals.ts'
import { broker } from './rows/broker.ts'
import { deletion } from './rows/deletion.ts'
import { fileApi } from './rows/file-api.ts'
import { fileRace } from './rows/file-race.ts'
import { flood } from './rows/flood.ts'
import { guessing } from './rows/guessing.ts'
import { inert } from './rows/inert.ts'
import { jwt } from './rows/jwt.ts'
import { largeHttp } from './rows/large-http.ts'
import { noToken } from './rows/no-token.ts'
import { origins } from './rows/origins.ts'
import { others } from './rows/others.ts'
import { peers } from './rows/peers.ts'
import { privilegedKeys } from './rows/privileged-keys.ts'
import { refresh } from './rows/refresh.ts'
import { registration } from './rows/registration.ts'
import { repository } from './rows/repository.ts'
import { revocation } from './rows/revocation.ts'
import { insideRows } from './rows/sandbox.ts'
import { shellCharacters } from './rows/shell-characters.ts'
import { signingSecret } from './rows/signing-secret.ts'
import { slowHttp } from './rows/slow-http.ts'
import { textPlain } from './rows/text-plain.ts'
import { tls } from './rows/tls.ts'
import { tokenInUrl } from './rows/token-in-url.ts'
import { urls } from './rows/urls.ts'
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
  registration,
  signingSecret,
  jwt,
  revocation,
  refresh,
  tokenInUrl,
  guessing,
  largeHttp,
  slowHttp,
  tls,
  wsHandshake,
  wsFraming,
  wsControl,
  wsReserved,
  wsFragments,
  wsUtf8,
  wsClose,
  wsLimits,
  peers,
  fileApi,
  fileRace,
  deletion,
  inert,
  repository,
  ...insideRows,
  broker,
  approvals,
  urls,
  flood,
]
