import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv, type ValidateFunction } from 'ajv';

/** The whole schema of NIST for OSCAL 1.2.3, of all its models: a work of the United States Government, in the public domain. */
const FILE = join(import.meta.dirname, 'oscal-complete-1.2.3.schema.json');

let validate: ValidateFunction | null = null;

/** Compiled once: it takes seconds. */
function compiled(): ValidateFunction {
  const formats = {
    'date-time': (text: string) => !Number.isNaN(Date.parse(text)),
    date: (text: string) => !Number.isNaN(Date.parse(text)),
    uri: (text: string) => URL.canParse(text),
    'uri-reference': (text: string) => URL.canParse(text, 'https://base.test/'),
    email: /^[^@\s]+@[^@\s]+$/,
  };
  return new Ajv({ strict: false, formats, allErrors: true }).compile(JSON.parse(readFileSync(FILE, 'utf8')));
}

/** What NIST's schema finds in a document: place and rule; empty if it is valid. */
export function oscalProblems(document: unknown): readonly string[] {
  validate ??= compiled();
  validate(document);
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath}: ${message ?? ''}`);
}
