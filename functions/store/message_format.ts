import { Webhook } from 'standardwebhooks'
import { messageTextOf, pageLinkOf } from './message_text.ts'
import type { DestinationKind, Notification } from './port.ts'

/** A message as one kind of destination takes it. */
export type Message = {
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** Whether it may follow to another place: a message with a key that opens something must not. */
  readonly mayMove: boolean
}

export type MessageOptions = { readonly pageUrl: string | null; readonly now_us: number }

const json = { 'Content-Type': 'application/json', 'User-Agent': 'telltale-alerts' }

/** Throws where a secret is none that can sign. */
export function messageOf(notification: Notification, options: MessageOptions): Message {
  return formats[notification.kind](notification, options)
}

const formats: { readonly [kind in DestinationKind]: (n: Notification, options: MessageOptions) => Message } = {
  webhook: signedMessage,
  slack: slackMessage,
  discord: discordMessage,
  email: emailMessage,
}

/**
 * Standard Webhooks (https://www.standardwebhooks.com): the id is the same for every attempt, the signature is made anew for
 * the time of each.
 */
function signedMessage(notification: Notification, { pageUrl, now_us }: MessageOptions): Message {
  const { event, alert, notification_id, created_us, secret } = notification
  const at = new Date(Math.floor(now_us / 1_000_000) * 1_000)
  const body = JSON.stringify({
    type: event === 'test' ? 'alert.test' : `alert.${event}`,
    timestamp: new Date(created_us / 1_000).toISOString(),
    data: { ...alert, url: pageLinkOf(alert.link, pageUrl) },
  })
  const headers = {
    ...json,
    'webhook-id': notification_id,
    'webhook-timestamp': String(at.getTime() / 1_000),
    'webhook-signature': new Webhook(secret ?? '').sign(notification_id, at, body),
  }
  return { headers, body, mayMove: true }
}

/** Slack's incoming webhooks (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks). */
function slackMessage(notification: Notification, { pageUrl }: MessageOptions): Message {
  const { head, facts, url } = messageTextOf(notification, pageUrl)
  const lines = facts.map(({ term, text }) => `*${term}:* ${slackText(text)}`)
  const link = url === null ? [] : [`<${slackText(url)}|Open the dashboard>`]
  const text = [slackText(head), ...lines, ...link].join('\n').slice(0, 2_900)
  const body = JSON.stringify({
    text: head.slice(0, 2_900),
    blocks: [{ type: 'section', text: { type: 'mrkdwn', text } }],
  })
  return { headers: json, body, mayMove: false }
}

function slackText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

const colours = { info: 0x3b82f6, warning: 0xd97706, critical: 0xdc2626 } as const
const resolvedColour = 0x16a34a

/** Discord's webhooks (https://docs.discord.com/developers/resources/webhook#execute-webhook). Nobody is mentioned by what was recorded. */
function discordMessage(notification: Notification, { pageUrl }: MessageOptions): Message {
  const { head, facts, url } = messageTextOf(notification, pageUrl)
  const { event, alert } = notification
  const body = JSON.stringify({
    allowed_mentions: { parse: [] },
    embeds: [
      {
        title: head.slice(0, 250),
        color: event === 'resolved' ? resolvedColour : colours[alert.severity],
        fields: facts.map(({ term, text }) => ({ name: term, value: text.slice(0, 1_000) || '-', inline: true })),
        ...(url === null ? {} : { url: url.slice(0, 2_000) }),
      },
    ],
  })
  return { headers: json, body, mayMove: false }
}

/** Resend's API (https://resend.com/docs/api-reference/emails/send-email), which takes one key's message once in a day. */
function emailMessage(notification: Notification, { pageUrl }: MessageOptions): Message {
  const { head, facts, url } = messageTextOf(notification, pageUrl)
  const { secret, detail, notification_id } = notification
  const lines = [head, '', ...facts.map(({ term, text }) => `${term}: ${text}`), ...(url === null ? [] : ['', url])]
  const body = JSON.stringify({
    from: detail.from,
    to: detail.to,
    subject: head.replaceAll(/\s+/g, ' ').slice(0, 200),
    text: lines.join('\n'),
  })
  const headers = { ...json, Authorization: `Bearer ${secret ?? ''}`, 'Idempotency-Key': notification_id }
  return { headers, body, mayMove: false }
}
