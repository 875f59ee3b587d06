import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';

const root = resolve(import.meta.dirname, '../..');
const GUIDE = 'deploy/guide';

const filesIn = (folder: string, pattern: RegExp): readonly string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => `${folder}/${name}`)
    .filter((name) => pattern.test(name) && statSync(join(root, name)).isFile());

const pages = [
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'src/DESIGN.md',
  'src/README.md',
  'test/README.md',
  'test/bench/README.md',
  ...['deploy', 'cedar-policies'].flatMap((folder) => filesIn(folder, /\.md$/)),
];

const textOf = (file: string): string => readFileSync(join(root, file), 'utf8');
const withoutCode = (text: string): string =>
  text.replaceAll(/^ *```[^]*?^ *```/gm, '').replaceAll(/`[^`\n]*`/g, (code) => code.replaceAll(/[[\]()]/g, ' '));

/** The anchors of a page as GitHub makes them: a heading in lower case without punctuation, blanks as hyphens; and `<a id>`. */
function anchorsOf(page: string): ReadonlySet<string> {
  const text = textOf(page);
  const headings = [...withoutCodeBlocks(text).matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) =>
    heading
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
  return new Set([...headings, ...[...text.matchAll(/<a id="([^"]+)">/g)].map(([, id = '']) => id)]);
}

const withoutCodeBlocks = (text: string): string => text.replaceAll(/^ *```[^]*?^ *```/gm, '');

interface Link {
  readonly page: string;
  readonly to: string;
}

const links: readonly Link[] = pages.flatMap((page) =>
  [...withoutCode(textOf(page)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, to = '']) => ({ page, to })),
);

/** The file and the anchor that a relative link names. */
const targetOf = ({ page, to }: Link): { readonly file: string; readonly anchor: string } => {
  const [path = '', anchor = ''] = to.split('#');
  return { file: path === '' ? page : relative(root, resolve(root, dirname(page), path)), anchor };
};

const local = links.filter(({ to }) => !/^[a-z]+:/.test(to));

describe('the pages', () => {
  it('link to files that are there, and to headings that those have', () => {
    expect(local.length).toBeGreaterThan(150);
    const broken = local.filter((link) => {
      const { file, anchor } = targetOf(link);
      return !existsSync(join(root, file)) || (anchor !== '' && !anchorsOf(file).has(anchor));
    });
    expect(broken).toEqual([]);
  });

  it('of the guide are all reached from its front page', () => {
    const reached = new Set([`${GUIDE}/README.md`]);
    for (const page of reached) {
      for (const link of local.filter((one) => one.page === page)) {
        const { file } = targetOf(link);
        if (file.startsWith(`${GUIDE}/`) && file.endsWith('.md')) reached.add(file);
      }
    }
    expect(filesIn(GUIDE, /\.md$/).filter((page) => !reached.has(page))).toEqual([]);
  });

  it('that the product, its alerts, dashboards and configurations name are there', () => {
    const named = [
      ...filesIn('src', /\.ts$/),
      ...filesIn('deploy', /\.(?:ya?ml|json)$/),
      ...filesIn('cedar-policies', /\.(?:ya?ml|json|cedar|cedarschema)$/),
      'src/README.md',
      'package.json',
    ].flatMap((file) =>
      [...textOf(file).matchAll(/(?<![\w./-])((?:deploy|cedar-policies|\.\.)\/[\w./-]*\.md)\b/g)].map(
        ([, to = '']) => ({
          file,
          page: to.startsWith('../') ? relative(root, resolve(root, dirname(file), to)) : to,
        }),
      ),
    );
    expect(named.length).toBeGreaterThan(20);
    expect(named.filter(({ page }) => !existsSync(join(root, page)))).toEqual([]);
  });
});
