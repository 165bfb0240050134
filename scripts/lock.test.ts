import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root } from './lib/root.js'

type Entry = { resolved?: string; dependencies?: Record<string, string>; optionalDependencies?: Record<string, string> }

/** Dependencies that an entry names and the lock does not hold: with such a lock `npm install` passes and `npm ci` fails. */
const missingFrom = (packages: Record<string, Entry>): string[] =>
  Object.entries(packages).flatMap(([path, { dependencies, optionalDependencies }]) =>
    Object.keys({ ...dependencies, ...optionalDependencies })
      .filter((name) => !placesFor(path, name).some((place) => place in packages))
      .map((name) => `${path || '(root)'} → ${name}`),
  )

/** Where Node looks for a dependency of the package at `path`: its own node_modules, then each folder above. */
const placesFor = (path: string, name: string): string[] => {
  const places = [`${path === '' ? '' : `${path}/`}node_modules/${name}`]
  for (
    let at = path.lastIndexOf('node_modules/');
    at !== -1;
    at = at === 0 ? -1 : path.lastIndexOf('node_modules/', at - 1)
  ) {
    places.push(`${path.slice(0, at)}node_modules/${name}`)
  }
  return [...places, `node_modules/${name}`]
}

const addressesIn = (packages: Record<string, Entry>): string[] =>
  Object.values(packages).flatMap(({ resolved }) =>
    resolved !== undefined && /^[a-z+]+:/i.test(resolved) ? [resolved] : [],
  )

const packages: Record<string, Entry> = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages

test('every dependency that the lock names is in the lock, the optional ones of other platforms too', () => {
  expect(Object.keys(packages).length).toBeGreaterThan(100)
  expect(missingFrom(packages)).toEqual([])
})

test('the lock names no registry: it serves whatever registry the reader uses', () => {
  expect(addressesIn(packages)).toEqual([])
})

test('both rules can fail', () => {
  const planted = {
    '': { optionalDependencies: { here: '1', gone: '1' } },
    'node_modules/here': { resolved: 'https://registry.example/here.tgz', dependencies: { inner: '1', outer: '1' } },
    'node_modules/here/node_modules/inner': {},
    'node_modules/outer': {},
  }
  expect(missingFrom(planted)).toEqual(['(root) → gone'])
  expect(addressesIn(planted)).toEqual(['https://registry.example/here.tgz'])
})
