import { readFileSync } from 'node:fs';
import { productFile } from '../runtime/system/product-file.ts';

let text: string | null = null;

/** The base schema of this build: `cedar-policies/base.cedarschema`. */
export const builtInBase = (): string =>
  (text ??= readFileSync(productFile('cedar-policies/base.cedarschema'), 'utf8'));
