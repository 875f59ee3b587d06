/**
 * The passwords in the userinfo of the URIs in a text, in order, at most `max`: what follows the first `:` before the last `@` of an
 * authority (`://` up to the next `/`, `?` or `#`). No scheme is required, so that a text cut in front still shows none. One pass, since
 * each search begins at the end of the previous authority: an expression that looks for the scheme first is quadratic in a text of letters.
 *
 * @see RFC 3986 section 3.2
 */
export function uriPasswordsIn(text: string, max: number): readonly string[] {
  const passwords: string[] = [];
  for (let at = text.indexOf(MARK); at !== -1 && passwords.length < max;) {
    const from = at + MARK.length;
    const to = authorityEnd(text, from);
    const password = passwordOf(text.slice(from, to));
    if (password !== '') passwords.push(password);
    at = text.indexOf(MARK, to);
  }
  return passwords;
}

const MARK = '://';
const ENDS: ReadonlySet<string> = new Set(['/', '?', '#']);

function authorityEnd(text: string, from: number): number {
  let end = from;
  while (end < text.length && !ENDS.has(text.charAt(end))) end += 1;
  return end;
}

function passwordOf(authority: string): string {
  const userinfo = authority.slice(0, Math.max(0, authority.lastIndexOf('@')));
  const colon = userinfo.indexOf(':');
  return colon === -1 ? '' : userinfo.slice(colon + 1);
}
