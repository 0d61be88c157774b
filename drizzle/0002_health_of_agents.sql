ALTER TYPE "public"."agent_event" ADD VALUE 'thermal_event';--> statement-breakpoint
ALTER TYPE "public"."agent_event" ADD VALUE 'became_unhealthy';--> statement-breakpoint
ALTER TYPE "public"."agent_event" ADD VALUE 'became_healthy';--> statement-breakpoint
ALTER TABLE "agents" ADD COLUMN "health" jsonb;