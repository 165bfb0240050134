import { createContext } from 'react'

/** The folder that the session works in, so that paths can be told from there. */
export const FolderContext = createContext<string | undefined>(undefined)

/** A text with the paths inside `folder` told from there. */
export const fromFolder = (text: string, folder: string | undefined): string =>
  folder === undefined || folder === '' || folder === '/' ? text : text.replaceAll(`${folder.replace(/\/$/, '')}/`, '')
