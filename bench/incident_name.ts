import type { SessionRule } from '../src/core/record.ts'

/** What things are called where a style of incident comes from. */
export type NameBook = {
  readonly tools: readonly string[]
  readonly providers: readonly string[]
  readonly models: { readonly [provider: string]: readonly string[] }
  readonly clients: readonly string[]
  readonly hosts: readonly string[]
  readonly services: readonly string[]
  readonly versions: readonly string[]
  readonly rules: readonly SessionRule[]
  readonly storage: readonly string[]
  readonly permits: readonly string[]
  readonly pools: readonly string[]
  readonly queues: readonly string[]
}

const tools = [
  ...['read_file', 'write_file', 'search', 'list_directory', 'run_query', 'create_issue', 'get_issue', 'send_mail'],
  ...['fetch_url', 'summarize', 'translate', 'embed', 'index_repo', 'git_log', 'git_diff', 'apply_patch', 'run_tests'],
  ...['list_tables', 'describe_table', 'upload', 'download', 'resize_image', 'transcribe', 'plan_trip', 'get_weather'],
  ...['convert_currency', 'book_room', 'find_contact', 'add_event', 'list_events', 'ocr_page', 'chart', 'forecast'],
]

export const nameBooks: { readonly [style in 'plain' | 'otlp' | 'exai']: NameBook } = {
  plain: {
    tools,
    providers: ['anthropic', 'openai', 'mistral', 'deepseek', 'local'],
    models: {
      anthropic: ['claude-sonnet-4', 'claude-haiku-4'],
      openai: ['gpt-5', 'gpt-5-mini'],
      mistral: ['mistral-large', 'codestral'],
    },
    clients: ['claude-code', 'cursor', 'vscode', 'zed', 'inspector'],
    hosts: ['app-1', 'app-2', 'app-3', 'eu-west-a', 'eu-west-b', 'us-east-a'],
    services: ['mcp-server', 'files', 'tracker'],
    versions: ['1.0.0', '1.3.2', '2.1.0', '0.9.7'],
    rules: ['mcp', 'connection', 'explicit'],
    storage: ['select documents', 'insert audit', 'get cache', 'select users', 'put object'],
    permits: ['permit workers', 'permit db_writes', 'permit model'],
    pools: ['pool postgres', 'pool http'],
    queues: ['queue jobs', 'queue render'],
  },
  otlp: {
    tools: [
      ...['search_docs', 'kb.lookup', 'orders.get', 'orders.create', 'refund', 'inventory.check', 'price.quote'],
      ...[
        'customer.find',
        'ticket.open',
        'ticket.close',
        'report.build',
        'email.send',
        'calendar.slots',
        'geo.resolve',
      ],
      ...['catalog.list', 'cart.add', 'invoice.render', 'fraud.score', 'translate.text', 'image.tag', 'sql.run'],
    ],
    providers: ['openai', 'azure.ai.openai', 'anthropic', 'gcp.vertex_ai', 'aws.bedrock', 'mistral_ai'],
    models: {
      openai: ['gpt-4o', 'gpt-4o-mini', 'o3'],
      'azure.ai.openai': ['gpt-4o', 'gpt-4.1'],
      anthropic: ['claude-3-7-sonnet', 'claude-3-5-haiku'],
      'gcp.vertex_ai': ['gemini-2.5-pro', 'gemini-2.5-flash'],
    },
    clients: ['web-chat', 'mobile', 'backoffice', 'partner-api'],
    hosts: ['ip-10-0-1-17', 'ip-10-0-1-44', 'ip-10-0-2-9', 'gke-pool-a-x7k2', 'gke-pool-a-q9s1', 'gke-pool-b-m3c8'],
    services: ['assistant-api', 'agent-gateway'],
    versions: ['2026.11.2', '2026.11.3', '8f31c0d', 'v412'],
    rules: ['conversation', 'mcp'],
    storage: ['SELECT orders', 'INSERT events', 'GET session', 'HGETALL cart', 'SELECT catalog', 'query vectors'],
    permits: ['semaphore.acquire', 'permit llm_slots', 'rate_limiter.wait'],
    pools: ['pool.acquire', 'hikari getConnection'],
    queues: ['queue tasks', 'celery queue'],
  },
  exai: {
    tools: [
      ...['chat', 'thinkdeep', 'debug', 'analyze', 'codereview', 'planner', 'consensus', 'precommit', 'secaudit'],
      ...[
        'refactor',
        'tracer',
        'testgen',
        'docgen',
        'challenge',
        'status',
        'listmodels',
        'version',
        'activity',
        'health',
      ],
      ...['kimi_upload_files', 'kimi_chat_with_files', 'kimi_intent_analysis', 'glm_web_search', 'glm_payload_preview'],
    ],
    providers: ['GLM', 'KIMI'],
    models: {
      GLM: ['glm-4.5-flash', 'glm-4.6', 'glm-4.5-air'],
      KIMI: ['kimi-k2-0905-preview', 'kimi-thinking-preview', 'moonshot-v1-128k'],
    },
    clients: ['claude-desktop', 'vscode-augment', 'auggie-cli'],
    hosts: ['docker-exai', 'docker-exai-2', 'nas'],
    services: ['exai'],
    versions: ['2.0.0', '6.1.0', 'e50ef4f'],
    rules: ['continuation', 'mcp', 'connection'],
    storage: ['save_message', 'get_conversation', 'redis get', 'upload_file'],
    permits: ['permit global_sem', 'permit provider_sem KIMI', 'permit provider_sem GLM', 'permit session_sem'],
    pools: ['pool supabase'],
    queues: ['queue messages'],
  },
}
