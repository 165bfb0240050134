import { Type, type Static } from 'typebox'

const closed = { additionalProperties: false } as const

export const TextBlock = Type.Object({ type: Type.Literal('text'), text: Type.String({ minLength: 1 }) }, closed)

export const ImageBlock = Type.Object(
  {
    type: Type.Literal('image'),
    source: Type.Object(
      {
        type: Type.Literal('base64'),
        media_type: Type.Union([
          Type.Literal('image/png'),
          Type.Literal('image/jpeg'),
          Type.Literal('image/gif'),
          Type.Literal('image/webp'),
        ]),
        data: Type.String({ minLength: 1, pattern: '^[A-Za-z0-9+/]+={0,2}$' }),
      },
      closed,
    ),
  },
  closed,
)

/** What a prompt is made of: text and images, in the Messages API's own form. */
export const ContentBlock = Type.Union([TextBlock, ImageBlock])
export type ContentBlock = Static<typeof ContentBlock>
