/**
 * A program that makes the calls of a file at the local address that `remit run --forward` gives it: no token, no certificate, no line about
 * Remit. It prints a line of JSON for each answer.
 */
export const AGENT_PROGRAM = `import { readFile } from 'node:fs/promises';
const base = process.env.REMIT_FORWARD_TOOLS;
for (const { name, method, path, headers, body } of JSON.parse(await readFile(process.argv[2], 'utf8'))) {
  const answer = await fetch(base + path, { method, headers, body });
  console.log(JSON.stringify({ name, status: answer.status, decision: answer.headers.get('x-remit-decision'), body: await answer.text() }));
}
console.log(JSON.stringify({ task: process.env.REMIT_TASK_ID }));
`;
