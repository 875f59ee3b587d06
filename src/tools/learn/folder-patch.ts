/** A learnt folder as a patch on standard output, for records in a pod from which no folder can be copied. */
import type { Problem } from '../../core/runtime/problem.ts';
import type { LearntFiles } from './write-folder.ts';

/** Names that a patch has without quotes. */
const PLAIN = /^[A-Za-z0-9._/-]+$/;

/**
 * A patch that makes each file, as `git apply` takes it in an empty folder; it overwrites nothing. A problem if a file is no text, or has a name that a
 * patch would quote.
 */
export function folderPatch(files: LearntFiles): string | Problem {
  const patches: string[] = [];
  for (const [name, content] of files) {
    if (typeof content !== 'string') return { problem: `\`${name}\` is no text, which a patch cannot have: use --out` };
    if (!PLAIN.test(name)) return { problem: `a patch cannot have the name \`${name}\`: use --out` };
    patches.push(newFile(name, content));
  }
  return patches.join('\n');
}

/** The patch of one new file, without its last newline. */
function newFile(name: string, text: string): string {
  const head = [`diff --git a/${name} b/${name}`, 'new file mode 100644'];
  if (text === '') return head.join('\n');
  const isWhole = text.endsWith('\n');
  const lines = (isWhole ? text.slice(0, -1) : text).split('\n');
  return [
    ...head,
    '--- /dev/null',
    `+++ b/${name}`,
    `@@ -0,0 +1,${lines.length} @@`,
    ...lines.map((line) => `+${line}`),
    ...(isWhole ? [] : ['\\ No newline at end of file']),
  ].join('\n');
}
