// The scripted Messages API as an upstream of its own, as fast as it can.
import { scriptedApi } from '@aicm/broker'

const { url } = await scriptedApi({ pace: 'instant', record: false }).listen()
process.stdout.write(`listens on ${url}\n`)
