import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { productionPackages } from './lock-file.ts';

/** Licences under which a package may be part of the product: they ask for their text to be kept, and for nothing more. */
const ACCEPTED = new Set(['0BSD', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'BlueOak-1.0.0', 'ISC', 'MIT']);

/** Which part of an SPDX expression is not accepted; null where all are. Only `AND` is understood. */
export function refusedLicence(expression: string): string | null {
  const parts = expression.replaceAll(/^\(|\)$/g, '').split(' AND ');
  return parts.find((part) => !ACCEPTED.has(part)) ?? null;
}

/**
 * The licences of all packages the product runs with, with the texts that they ask to be kept: `THIRD-PARTY-LICENSES.txt`. A package without
 * such a file is named with its licence alone. Throws for a licence that is not accepted.
 */
export function thirdPartyLicences(root: string): string {
  const sections = productionPackages(root).map(({ license, name, path, version }) => {
    const refused = refusedLicence(license);
    if (refused !== null)
      throw new Error(`\`${name}\` ${version} has the licence \`${refused}\`, which is not accepted`);
    const folder = join(root, path);
    const texts = readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name: file }) => file)
      .filter((file) => /^(?:licen[cs]e|notice|copying)/i.test(file) && !/\.(?:js|ts)$/.test(file))
      .toSorted((a, b) => (a < b ? -1 : 1))
      .map((file) => readFileSync(join(folder, file), 'utf8').replaceAll('\r\n', '\n').trim());
    return [`${name} ${version}`, `License: ${license}`, ...texts].join('\n\n');
  });
  const rule = `\n\n${'-'.repeat(80)}\n\n`;
  return `${['Remit runs with these packages of others, each under its own licence.', ...sections].join(rule)}\n`;
}
