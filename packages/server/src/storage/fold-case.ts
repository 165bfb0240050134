/**
 * The form in which names are compared without case. It is stored beside the name, because databases fold case each in
 * their own way (SQLite only a–z, PostgreSQL by its locale), and a search must find the same in all of them.
 */
export const foldCase = (text: string): string => text.normalize('NFC').toLowerCase()
