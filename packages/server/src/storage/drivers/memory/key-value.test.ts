import { keyValueConformance } from '@aicm/testing/conformance'
import { openMemoryKeyValue } from './key-value.ts'

keyValueConformance('memory', async () => openMemoryKeyValue())
