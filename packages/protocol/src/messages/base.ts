import { Type, type TProperties } from 'typebox'
import { Seq, Time, TurnId } from '../ids.ts'

/**
 * A durable message of a session's log. `seq` is gapless within the session; `turnId` is absent for what belongs to no turn.
 * Receivers accept keys they do not know: a newer server may add some.
 */
export const message = <Name extends string, Properties extends TProperties>(name: Name, properties: Properties) =>
  Type.Object({ type: Type.Literal(name), seq: Seq, time: Time, turnId: Type.Optional(TurnId), ...properties })

/** Names one content block of the stream: unique in its session. Deltas and the durable message that ends them share it. */
export const BlockId = Type.String({ minLength: 1 })

/** Set when a sub-agent said it: the tool call that started the sub-agent. */
export const ParentToolUseId = Type.Optional(Type.String())

/** True when the block was cut short (a crash, an interrupt): what is here was shown, and no more will come. */
export const Partial = Type.Optional(Type.Boolean())
