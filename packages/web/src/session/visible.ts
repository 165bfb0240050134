/**
 * Characters that would hide or reorder what a person is about to read, written as escapes: control characters, and
 * the marks that turn the direction of text ("Trojan Source").
 */
export const visible = (text: string): string =>
  text.replace(
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g,
    (character) => {
      if (character === '\r') return ''
      const code = character.charCodeAt(0).toString(16).padStart(4, '0')
      return `\\u${code}`
    },
  )

/** Colours of a terminal, which tools' output is full of, mean nothing here. */
export const withoutAnsi = (text: string): string =>
  text.replace(/\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\-_])/g, '')
