import { existsSync, statSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { builtFile, productFile } from '../../../../src/core/runtime/system/product-file.ts';

describe('productFile', () => {
  it.each(['proto/remit/authority/v1/authority.proto', 'cedar-policies/base.cedarschema', 'deploy/envoy/envoy.yaml'])(
    'finds `%s` from the sources',
    (path) => {
      expect(statSync(productFile(path)).isFile()).toBe(true);
    },
  );
});

describe('builtFile', () => {
  it('names nothing that an earlier build wrote, when the sources run', () => {
    expect(builtFile('version.txt')).toMatch(/\/src\/version\.txt$/);
    expect(existsSync(builtFile('version.txt'))).toBe(false);
  });
});
