import { hash } from 'node:crypto';
import { printable } from '../../../core/ledger/timeline-text.ts';
import { type Block, type Inline, type Line, lineText } from './block.ts';

/**
 * Blocks as a self-contained HTML page that can be printed: no script, no external resource, and a content security policy that
 * admits only its own style. Text of records is shown as text.
 */
export function htmlFrom(blocks: readonly Block[]): string {
  const [title] = blocks.flatMap((block) => (block.kind === 'heading' && block.level === 1 ? [block.line] : []));
  // The contents come after the summary.
  const chapter = blocks.findIndex((block) => block.kind === 'heading' && block.level === 2);
  const policy = `default-src 'none'; style-src 'sha256-${hash('sha256', STYLE, 'base64')}'; base-uri 'none'; form-action 'none'`;
  return [
    '<!doctype html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${escaped(policy)}">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="referrer" content="no-referrer">',
    `<title>${escaped(printable(lineText(title ?? [])))}</title>`,
    `<style>${STYLE}</style>`,
    '</head>',
    '<body>',
    ...blocks.flatMap((block, index) => (index === chapter ? contentsOf(blocks) : []).concat(htmlOf(block, index))),
    '</body>',
    '</html>',
    '',
  ].join('\n');
}

function htmlOf(block: Block, index: number): readonly string[] {
  switch (block.kind) {
    case 'heading':
      return [`<h${block.level} id="${idOf(index)}">${htmlLine(block.line)}</h${block.level}>`];
    case 'text':
      return [`<p>${htmlLine(block.line)}</p>`];
    case 'list':
      return ['<ul>', ...block.items.map((item) => `<li>${htmlLine(item)}</li>`), '</ul>'];
    case 'table':
      return tableOf(block);
    case 'code':
      return [`<pre>${block.text.trimEnd().split('\n').map(printable).map(escaped).join('\n')}</pre>`];
    default:
      return block satisfies never;
  }
}

const tableOf = ({ head, rows, more }: Extract<Block, { kind: 'table' }>): readonly string[] => [
  '<table>',
  `<thead><tr>${head.map((cell) => `<th scope="col">${escaped(cell)}</th>`).join('')}</tr></thead>`,
  '<tbody>',
  ...rows.map((cells) => `<tr>${cells.map((cell) => `<td>${htmlLine(cell)}</td>`).join('')}</tr>`),
  ...(more === 0 ? [] : [`<tr><td colspan="${head.length}">${more} more</td></tr>`]),
  '</tbody>',
  '</table>',
];

/** Links to the chapters. */
const contentsOf = (blocks: readonly Block[]): readonly string[] => [
  '<nav aria-label="Contents">',
  '<ol>',
  ...blocks.flatMap((block, index) =>
    block.kind === 'heading' && block.level === 2
      ? [`<li><a href="#${idOf(index)}">${htmlLine(block.line)}</a></li>`]
      : [],
  ),
  '</ol>',
  '</nav>',
];

const idOf = (index: number): string => `part-${index}`;

const htmlLine = (line: Line): string => line.map(htmlInline).join('');

function htmlInline(inline: Inline): string {
  if (typeof inline === 'string') return escaped(printable(inline));
  return 'code' in inline
    ? `<code>${escaped(printable(inline.code))}</code>`
    : `<strong>${escaped(printable(inline.strong))}</strong>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

const escaped = (text: string): string => text.replaceAll(/[&<>"']/g, (mark) => ENTITIES[mark] ?? mark);

/** Long names and proofs are wrapped, so that nothing is cut at the edge of a sheet; rows and headings are not torn from what they belong to. */
const STYLE = `
:root { color-scheme: light; }
body { font: 14px/1.45 system-ui, sans-serif; color: #111; background: #fff; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2, h3 { line-height: 1.2; break-after: avoid; overflow-wrap: anywhere; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #999; padding-bottom: .2rem; }
p, li, td, th { overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; }
thead { display: table-header-group; }
th, td { border: 1px solid #aaa; padding: .25rem .4rem; text-align: left; vertical-align: top; }
th { background: #eee; }
tr, li { break-inside: avoid; }
code, pre { font: 12px/1.4 ui-monospace, monospace; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border-left: 3px solid #ccc; padding-left: .6rem; }
a { color: inherit; }
@page {
  size: A4;
  margin: 18mm 15mm 20mm;
  @bottom-right { content: counter(page) " / " counter(pages); font: 9pt sans-serif; }
}
@media print {
  body { font-size: 9.5pt; max-width: none; margin: 0; padding: 0; }
  code, pre { font-size: 8pt; }
  h2 { margin-top: 1.2rem; }
  nav { break-after: page; }
  a { text-decoration: none; }
}
`;
