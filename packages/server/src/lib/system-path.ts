/** Where children look for programs: never the server's own PATH, which may hold a user's folders. */
export const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
