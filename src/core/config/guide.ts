import { productFile } from '../runtime/system/product-file.ts';

/** The installed guide. */
export const GUIDE_FOLDER = productFile('deploy/guide');

/** The variable with the URL at which a copy of `deploy/guide` is served; not set: links name `remit help`, which prints the installed page. */
export const GUIDE_URL = 'REMIT_GUIDE_URL';

/**
 * A link to a page of the guide: its URL if `base` is given, else the command that prints the installed page.
 *
 * @param page its path in the guide without `.md`, with the anchor of a section, if any, such as `fix/reasons#tokenbinding`
 * @param base the value of `REMIT_GUIDE_URL`, or `undefined`
 */
export function guideLink(page: string, base: string | undefined): string {
  if (base === undefined || base === '') return `remit help ${page}`;
  const [path = '', anchor] = page.split('#');
  return `${base.replace(/\/$/, '')}/${path}.md${anchor === undefined ? '' : `#${anchor}`}`;
}
