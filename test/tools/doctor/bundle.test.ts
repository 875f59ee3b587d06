import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { bundleOf } from '../../../src/tools/doctor/bundle.ts';
import { redacted } from '../../../src/tools/doctor/redacted.ts';

describe('a bundle of the doctor', () => {
  it('is unpacked by tar, whatever the names are, into a single folder', () => {
    const folder = mkdtempSync(join(tmpdir(), 'remit-bundle-'));
    try {
      const long = 'x'.repeat(5_000);
      const parts = [
        { name: 'report.txt', text: long },
        { name: '../../evil', text: 'é' },
        { name: 'empty.json', text: '' },
      ];
      writeFileSync(join(folder, 'b.tar.gz'), bundleOf(parts, 1_764_000_000));
      execFileSync('tar', ['-xzf', 'b.tar.gz'], { cwd: folder });
      const names = execFileSync('tar', ['-tzf', 'b.tar.gz'], { cwd: folder, encoding: 'utf8' });
      expect(names).toBe('remit-doctor/report.txt\nremit-doctor/1_______evil.txt\nremit-doctor/empty.json\n');
      expect(readFileSync(join(folder, 'remit-doctor/report.txt'), 'utf8')).toBe(long);
      expect(readFileSync(join(folder, 'remit-doctor/1_______evil.txt'), 'utf8')).toBe('é');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('keeps structure and no other text', () => {
    const config = {
      name: 'agents',
      failure_mode_allow: true,
      timeout: '0.5s',
      tls: { private_key: { inline_string: 'KEY' }, password: { inline_bytes: 'UFdE' } },
      headers: [{ header: { key: 'authorization', value: 'Bearer SECRET' } }],
      custom: { anything: ['SECRET'] },
      domains: ['tools.acme.test'],
      stringData: { path: 'SECRET', service: { host: ['SECRET'] }, pin: 4711 },
      metadata: { name: 'n', filter_metadata: { own: { cluster: 'SECRET' } } },
      context_extensions: { code: 'SECRET' },
      // Without quotes, YAML has a number.
      secrets: [
        4711,
        { password: 4711, inline_string: 4711 },
        { header: { key: 'x-api-key', value: 4711 } },
        { pin_code: 4711 },
      ],
      quantities: {
        port_value: 8443,
        number: 443,
        max_request_bytes: 65_536,
        retriable_status_codes: [503],
        containerPort: 8081,
        runAsUser: 65_532,
        'tracing.opentelemetry.flush_interval_ms': 1_000,
      },
    };
    const kept = JSON.stringify(redacted(config));
    expect(kept).not.toMatch(/KEY|UFdE|SECRET|4711/);
    expect(JSON.parse(kept)).toMatchObject({
      name: 'agents',
      failure_mode_allow: true,
      timeout: '0.5s',
      domains: ['tools.acme.test'],
      custom: { anything: ['[redacted: 6 characters]'] },
      secrets: ['[redacted: number]', {}, {}, {}],
      quantities: config.quantities,
    });
  });
});
