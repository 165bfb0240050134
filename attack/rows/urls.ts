import { until } from '@aicm/testing/until'
import { operatorAllows } from '../lib/attack.ts'
import { openCanary } from '../lib/canary.ts'
import type { Row } from '../lib/row.ts'

export const urls: Row = {
  name: 'urls',
  title: 'a clone URL to loopback, private and metadata addresses, in every form, by name and by redirect',
  expected: 'refused after resolution; what the operator allows is reached',
  run: async (attack, attempt) => {
    await using canary = await openCanary()
    const { alice } = await attack.shared()
    const { port } = canary
    let created = 0

    /** What became of a clone: refused, or whatever else. */
    const outcome = async (gitUrl: string): Promise<string> => {
      const { id } = await alice.client.workspaces.create({ name: `inward-${created++}`, gitUrl })
      const { status, error } = await until('the clone has ended', async () => {
        const workspace = await alice.client.workspaces.get(id)
        return workspace.status !== 'cloning' && workspace
      })
      await alice.client.workspaces.delete(id)
      return status === 'failed' && error !== null ? (/^[a-z_]+(?=:)/.exec(error)?.[0] ?? error) : status
    }
    const named = (text: string): string => text.replaceAll(/\d{4,5}(?=$|\/)/g, 'PORT')

    const hosts = [
      ...['127.0.0.1', '127.1', '127.0.1', '2130706433', '017700000001', '0x7f000001', '0x7F.1', '0177.0.0.1'],
      ...['0.0.0.0', '0', 'localhost', 'LOCALHOST'],
      ...['[::1]', '[::]', '[0:0:0:0:0:0:0:1]', '[::ffff:127.0.0.1]', '[::FFFF:7f00:1]', '[::127.0.0.1]'],
      ...['[64:ff9b::7f00:1]', '[2002:7f00:1::]', '[fe80::1]', '[fd00::1]', '[ff02::1]'],
      ...['10.0.0.1', '172.16.0.1', '192.168.0.1', '100.64.0.1', '169.254.169.254', '2852039166', '224.0.0.1'],
      ...['[::ffff:169.254.169.254]', '[fd00:ec2::254]'],
      ...['127.0.0.2@127.0.0.1', '127.0.0.2%2f@127.0.0.1', 'github.com@[::1]'],
    ]
    /** Nothing that has an address, or that one. */
    const odd = [
      '127.0.0.1.',
      'localhost.',
      '①②⑦.⓪.⓪.①',
      '127.0.0.1%00.example.org',
      '127.0.0.1%2eexample.org',
      '[::1%25lo]',
    ]
    for (const host of hosts)
      attempt(`a clone from ${host}`, 'address_refused', await outcome(`http://${host}:${port}/x.git`))
    for (const host of odd)
      attempt(
        `a clone from ${host}`,
        'address_refused or host_not_found or git',
        await outcome(`http://${host}:${port}/x.git`),
      )
    attempt('by https', 'address_refused', await outcome(`https://127.0.0.1:${port}/x.git`))

    // A server that may be cloned from leads on.
    for (const target of [
      canary.url,
      `http://localhost:${port}`,
      `http://2130706433:${port}`,
      `http://[::1]:${port}`,
      'http://169.254.169.254/latest/meta-data',
      `https://127.0.0.1:${port}`,
    ]) {
      await using redirect = await openCanary({ address: operatorAllows, redirectTo: `${target}/redirected` })
      attempt(`a redirect to ${named(target)}`, 'address_refused', await outcome(`${redirect.url}/x.git`))
      attempt('requests at the one that redirects', '1', `${redirect.heard.length}`)
    }
    for (const scheme of ['ftp', 'file', 'gopher']) {
      await using redirect = await openCanary({
        address: operatorAllows,
        redirectTo: `${scheme}://127.0.0.1:${port}/x`,
      })
      attempt(`a redirect to ${scheme}:`, 'git', await outcome(`${redirect.url}/x.git`))
    }
    attempt('requests that arrived inside', '0', `${canary.heard.length}`)

    for (const gitUrl of [
      `ssh://127.0.0.1:${port}/x.git`,
      `git://127.0.0.1:${port}/x.git`,
      `git@127.0.0.1:x.git`,
      `http://127.0.0.2:80\\@127.0.0.1:${port}/x.git`,
    ]) {
      const answer = await outcome(gitUrl).catch((error: unknown) =>
        error instanceof Error && 'code' in error ? String(error.code) : String(error),
      )
      attempt(`a clone from ${named(gitUrl)}`, 'invalid_request or address_refused', answer)
    }
    attempt('requests that arrived inside, in all', '0', `${canary.heard.length}`)
  },
}
