import { describe, expect, it } from '@jest/globals';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { bytesExporter } from '../../../../src/core/telemetry/spans/bytes-exporter.ts';
import type { ExportResult } from '../../../../src/core/telemetry/spans/span-exporter.ts';
import { endedSpan } from '../ended-spans.ts';
import { exportRequestFrom } from '../export-request.ts';

/** A transport that keeps the names of the spans of each request, and answers at once or never. */
const listening = (answer: ExportResult | null = { code: 0 }) => {
  const requests: (readonly string[])[] = [];
  const exporter = bytesExporter(
    {
      export: ({ bytes }, done) => {
        const { resourceSpans } = exportRequestFrom(Buffer.from(bytes));
        requests.push(resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans.map(nameOf))));
        if (answer !== null) done(answer);
      },
      shutdown: () => Promise.resolve(),
    },
    {
      resource: resourceFromAttributes({ 'service.name': 'remit' }),
      scopeName: 'remit',
      limits: { count: Infinity, valueLength: Infinity },
    },
  );
  const batchOf = (...names: readonly string[]) => {
    const batch = exporter.newBatch();
    for (const name of names) batch.add(endedSpan({}, { name }));
    return batch;
  };
  return { requests, batchOf };
};

const nameOf = ({ name }: { readonly name: string }): string => name;

describe(bytesExporter, () => {
  it('sends each batch whole and alone, also if another had its memory before', async () => {
    const { requests, batchOf } = listening();
    const long = batchOf('one', 'two', 'three');
    expect(await long.send()).toBe('taken');
    long.release();
    const short = batchOf('four');
    const meanwhile = batchOf('five');
    expect([await short.send(), await meanwhile.send()]).toEqual(['taken', 'taken']);
    expect(requests).toEqual([['one', 'two', 'three'], ['four'], ['five']]);
  });

  it('sends a batch again as it was, while the next batch is filled', async () => {
    const { requests, batchOf } = listening({ code: 1, error: Object.assign(new Error('away'), { code: 14 }) });
    const batch = batchOf('one');
    expect(await batch.send()).toBe('again');
    batchOf('two');
    expect(await batch.send()).toBe('again');
    expect(requests).toEqual([['one'], ['one']]);
  });

  it('sends nothing of a batch whose memory is given back before its request is made', async () => {
    const { requests, batchOf } = listening();
    const late = batchOf('one');
    const sent = late.send();
    late.release();
    late.release();
    batchOf('two');
    batchOf('three');
    expect([await sent, requests]).toEqual(['refused', []]);
  });

  it('gives memory that was given back to one batch alone', async () => {
    const { requests, batchOf } = listening();
    const given = batchOf('one');
    given.release();
    given.release();
    const batches = [batchOf('two'), batchOf('three')];
    for (const batch of batches) await batch.send();
    expect(requests).toEqual([['two'], ['three']]);
  });
});
