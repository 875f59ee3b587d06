import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

/** The page of services. */
export const servicePage = readFileSync(
  resolve(import.meta.dirname, '../../deploy/guide/start/agent-service.md'),
  'utf8',
);

/** The first block of the page in a language that has these words. Throws if there is none. */
export function blockOf(language: string, words = ''): string {
  const blocks = servicePage.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'gm'));
  const found = [...blocks].map(([, text = '']) => text).find((text) => text.includes(words));
  if (found === undefined) throw new Error(`the page has no ${language} with \`${words}\``);
  return found;
}

/** The lines of a program that are there for its tasks: those that name the task or its end, with `try` and `finally`. */
export const linesForTasks = (program: string): readonly string[] =>
  program.split('\n').filter((line) => /REMIT_TASKS|\b(?:task|endTask|try|finally)\b/.test(line));
