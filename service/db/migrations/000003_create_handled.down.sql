DROP TABLE handled;
