import { createMCPClient } from '@ai-sdk/mcp';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, isStepCount } from 'ai';
import { CALLS, run } from './jobs.mjs';

await run(async (url, prompt) => {
  const client = await createMCPClient({ transport: { type: 'http', url } });
  try {
    const model = createOpenAICompatible({ name: 'scripted', baseURL: process.env.OPENAI_BASE_URL })('scripted');
    return (await generateText({ model, tools: await client.tools(), stopWhen: isStepCount(CALLS), prompt })).text;
  } finally {
    await client.close();
  }
});
