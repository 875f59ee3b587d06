import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

let text: string | null = null;

/** The base schema of this build: `cedar-policies/base.cedarschema`. */
export const builtInBase = (): string =>
  (text ??= readFileSync(fileURLToPath(new URL('../../cedar-policies/base.cedarschema', import.meta.url)), 'utf8'));
