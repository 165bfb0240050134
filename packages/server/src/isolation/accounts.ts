import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** In a sandbox everybody is `agent`, and who else has an account on the host is nobody's business there. */
const files = {
  passwd:
    'root:x:0:0:root:/:/usr/sbin/nologin\nagent:x:1000:1000:agent:/tmp:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n',
  group: 'root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n',
}

/** Writes the accounts that are seen in a sandbox. Everybody may read them. */
export const writeAccounts = async (dir: string): Promise<void> => {
  await mkdir(dir, { recursive: true })
  await chmod(dir, 0o755)
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(dir, name), text)
    await chmod(join(dir, name), 0o644)
  }
}
