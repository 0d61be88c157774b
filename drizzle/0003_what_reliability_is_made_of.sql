ALTER TYPE "public"."agent_event" ADD VALUE 'reliability_changed';--> statement-breakpoint
ALTER TYPE "public"."agent_event" ADD VALUE 'fault_taken_back';--> statement-breakpoint
ALTER TABLE "agents" ADD COLUMN "reliability_record" jsonb;